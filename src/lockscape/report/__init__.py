"""What a person or a program reads: tables, JSON, CSV, the HTML page. Nothing is computed here."""
