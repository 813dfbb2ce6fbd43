"""`python -m routing_site COMMAND` is `switchyard COMMAND`."""

from routing_site.cli import main

main()
