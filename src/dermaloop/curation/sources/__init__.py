"""curation/sources"""
