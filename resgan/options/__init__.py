"""The options of every command: strict models, one commented line for each option. Defaults stand in conf/."""
