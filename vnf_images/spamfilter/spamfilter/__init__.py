"""An inline spam filter for SMTP. In: two ports and a configuration. Out: mail with a low score untouched; other mail tagged or refused."""
