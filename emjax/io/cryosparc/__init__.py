"""CryoSPARC `.cs` tables and what their fields mean."""
