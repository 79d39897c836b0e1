"""Questions asked of every day: contracts made from the declared schemas, and quality. A blocking one stops the day."""
