-- The language (BCP 47) in which the user last read a page or an answer of this service: mails to the user are written in it. NULL until it is known.
ALTER TABLE users ADD COLUMN language TEXT;
