"""Excel: a workbook for each study, with a sheet for each form."""
