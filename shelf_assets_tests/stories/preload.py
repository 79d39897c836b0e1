"""What a run needs, imported once in the server that the runs' processes are forked from. Starts nothing."""

import shelf_assets_tests.stories.support  # noqa: F401
