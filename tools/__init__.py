"""Programs that make files of this project; they are run from the repository and are not part of the package."""
