"""The parts of the study of the loop; `studies/loop.py` puts them in order."""
