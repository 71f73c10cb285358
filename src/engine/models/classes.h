/* The component classes that exist, for the list in component.c. */
#pragma once

#include "engine/models/component.h"
