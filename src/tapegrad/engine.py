from tapegrad.value import Value
