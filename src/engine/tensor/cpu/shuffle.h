/* Lanes of two vectors by their numbers, those of the second after those of the first: gcc's
 * __builtin_shuffle, which clang does not have. With clang, which only builds the fuzz targets, it
 * is a loop and slow; the sum is of the vectors' type without their const.
 *
 * Threading: any; functions of their arguments alone.
 */
#pragma once

#ifdef __clang__
#define atl_shuffle(first, second, ...)                                                            \
  __extension__({                                                                                  \
    __typeof__ ((first) + (first)) a_ = (first), b_ = (second), r_ = a_;                           \
    __typeof__ (__VA_ARGS__) l_ = (__VA_ARGS__);                                                   \
    const unsigned n_ = sizeof l_ / sizeof l_[0];                                                  \
    for (unsigned i_ = 0; i_ < n_; i_++)                                                           \
      r_[i_] = (unsigned) l_[i_] % (2 * n_) < n_ ? a_[(unsigned) l_[i_] % n_]                      \
                                                 : b_[(unsigned) l_[i_] % n_];                     \
    r_;                                                                                            \
  })
#else
#define atl_shuffle(first, second, ...) __builtin_shuffle (first, second, __VA_ARGS__)
#endif
