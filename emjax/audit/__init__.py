"""Do the classes follow a nuisance instead of a state?"""
