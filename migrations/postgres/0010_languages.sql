-- The language (BCP 47) of the user's mails, learned from the user's own requests. NULL until it is known.
ALTER TABLE users ADD COLUMN language TEXT;
