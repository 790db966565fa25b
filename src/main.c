/* The program: one subcommand per role and tool. */
#include <stdio.h>

int main(void)
{
    return 0;
}
