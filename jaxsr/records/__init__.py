"""What runs leave behind: files written whole, rows that several processes add to, and reports made
of them."""
