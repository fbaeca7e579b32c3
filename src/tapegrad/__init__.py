from tapegrad.engine import Value
