"""What a photo is: the rules it must meet, the validator that applies them, the sanitizer that rebuilds it, and the processes in
which strangers' bytes are decoded. No Dagster, no torch.
"""
