"""A campaign: its configuration, its runs, its folder, what its jobs cost."""
