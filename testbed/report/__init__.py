"""From a machine's records to findings, and from findings to text, HTML and other files."""
