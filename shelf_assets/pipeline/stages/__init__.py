"""The stages of a day, one module each; `registry` lists them. Modules here import no Dagster and no torch."""
