// Runs every registered test, or those whose names contain one of the arguments.
#include "test.h"

#include <cstring>
#include <exception>

int main(int argc, char** argv) {
  using namespace flambeau::test;
  int ran = 0, failed = 0;
  for (const Case& c : cases()) {
    bool wanted = argc == 1;
    for (int i = 1; i < argc; i++) wanted = wanted || std::strstr(c.name, argv[i]);
    if (!wanted) continue;
    ran++;
    int before = failures();
    try {
      c.run();
    } catch (const std::exception& error) {
      report(c.name, 0, std::string("uncaught: ") + error.what());
    }
    if (failures() == before) continue;
    failed++;
    std::fprintf(stderr, "FAILED %s\n", c.name);
  }
  std::printf("%d tests, %d failed\n", ran, failed);
  return failed != 0 || ran == 0;
}
