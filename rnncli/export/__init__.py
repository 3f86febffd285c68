"""Exports of trained models that other runtimes open, a format a file; `rnncli.export.formats` has the table."""
