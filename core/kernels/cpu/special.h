#pragma once
#include "kernels/cpu/complex.h"
