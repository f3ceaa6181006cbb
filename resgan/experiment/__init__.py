"""What the commands do: train runs to their end, plan studies, sample, evaluate, describe, measure."""
