"""The commands, one a module; `rnncli.cli.main` lists them and imports the one that is asked for."""
