package loop

const starvedEnv = "LOOP_TEST_STARVED"

func serveStarved() {}
