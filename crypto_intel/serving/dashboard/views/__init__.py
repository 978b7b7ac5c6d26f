"""One module a page; each has `page`, which reads, and shows what it read or says that there is nothing."""
