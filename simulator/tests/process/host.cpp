// A program without CUDA that loads libraries with kernels, calls them, and closes them or not:
//   host MODE LIBRARY LIBRARY    MODE: keep, close, global, leak
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

void* open(const char* path, int flags) {
  void* library = dlopen(path, RTLD_NOW | flags);
  if (!library) std::printf("%s\n", dlerror()), std::exit(2);
  return library;
}

int run(void* library) { return reinterpret_cast<int (*)()>(dlsym(library, "extension_run"))(); }

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const std::string mode = argv[1];
  const int flags = mode == "global" ? RTLD_GLOBAL : RTLD_LOCAL;
  void *first = open(argv[2], flags), *second = open(argv[3], flags);
  const int one = run(first), two = run(second);
  if (mode != "keep") dlclose(first);
  const int again = run(second);
  if (mode == "leak") reinterpret_cast<void (*)()>(dlsym(second, "extension_leak"))();
  if (mode == "close") dlclose(second);
  std::printf("%d %d %d\n", one, two, again);
  return !(one == 1001 && two == 1002 && again == 1002);
}
