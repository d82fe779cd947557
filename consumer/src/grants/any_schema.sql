
-- A producer that comes tomorrow gets its schema from the consumer, and needs nobody.
GRANT CREATE ON DATABASE {database} TO {consumer};
