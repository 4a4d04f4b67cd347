"""Exports: the frames and transcripts of histories as files for other programs and for people."""
