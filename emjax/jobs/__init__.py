"""What the jobs of the workflow read and write around one call of the library, stage by stage."""
