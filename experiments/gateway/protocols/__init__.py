"""The protocols that clients speak: a parser and a writer for each, around one `ModelCall`.

`chat`, `messages` and `responses` parse a request into a `ModelCall`. An endpoint that speaks the
same protocol gets the request as it came (`native`); for others `…_to_chat` translates the
request and `…_answers` the answer."""
