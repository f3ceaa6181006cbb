"""The work of the commands: train runs to their end, plan studies, sample, evaluate, describe, measure."""
