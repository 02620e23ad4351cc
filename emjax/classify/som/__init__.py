"""KerDenSOM: self-organising maps of aligned images."""
