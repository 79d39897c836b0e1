{{ days_of_window() }}
