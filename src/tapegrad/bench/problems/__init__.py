"""The problems, in the order in which they are measured."""

from tapegrad.bench.problems import speelpenning

PROBLEMS = [
    speelpenning.PROBLEM,
]
