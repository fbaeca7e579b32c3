"""Adapters of `tapegrad bench --peers`, one file each; `tapegrad.bench.rival` says what is in one."""
