"""Cases: patients, lesions, visits, pictures, predictions, impressions, confirmed diagnoses, and who did what to them.

Owns the clinic's records, its people and its audit log; SQLAlchemy and object storage are used nowhere else. Refuses to
know HTTP, and how a prediction is made: it stores what it is given.
"""
