/* atelier-fetch: the starter model without the rest of the program. */
#include "hub/fetch-cli.h"

int
main (int argc, char **argv)
{
  return atl_hub_cli_fetch (argc, argv);
}
