"""A user's data sets: from files, folders, libraries and factories to splits."""
