"""The uniprocessor kernel, written once in the language of `lockscape.program`; it knows no port's lock."""
