"""Write report.html: the whole of a report on one page that loads nothing."""
