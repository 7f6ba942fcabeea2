"""SAS transport files, read back with pyreadstat and R."""
