"""The options of every command: strict models with one commented line per option. The defaults are in conf/."""
