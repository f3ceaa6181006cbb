"""Reports: from run directories to an answer with its uncertainty."""
