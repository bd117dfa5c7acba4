"""From folders of pictures to one checked, split manifest: import, examine, find duplicates, split, report."""
