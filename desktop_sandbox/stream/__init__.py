"""The live view's control: who may watch and drive, the media process, and the way of viewers' input to the guest."""
