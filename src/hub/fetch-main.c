/* atelier-fetch: the starter model without the rest of the program. */
#include <signal.h>

#include "hub/fetch-cli.h"

int
main (int argc, char **argv)
{
  /* A file beyond the limit of a login's files is told about, as a full disk is. */
  signal (SIGXFSZ, SIG_IGN);
  return atl_hub_cli_fetch (argc, argv);
}
