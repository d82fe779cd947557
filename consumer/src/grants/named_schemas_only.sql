
-- Only the schemas below: the jobs of another producer rest until it is named here.
REVOKE CREATE ON DATABASE {database} FROM {consumer};
