"""Learning from confirmed cases: what may train, what is suspect, one turn of refining, and the gates it must pass.

Composes the records with curation, training and evaluation. Refuses to own their steps, to promote (a person's act, in
the registry), and to know pages.
"""
