<?php
/**
 * Plugin Name: Duyet
 * Description: Sends what the Akismet plugin asks to your own Duyet, and nothing to anybody else.
 * License: GPL-2.0-or-later
 *
 * A must-use plugin: copy it to wp-content/mu-plugins/, and say where Duyet is in wp-config.php:
 *
 *     define( 'DUYET_URL', 'https://moderation.example' );
 */

if ( ! defined( 'ABSPATH' ) ) {
	exit;
}

if ( ! defined( 'DUYET_URL' ) || ! preg_match( '#^https?://[^/\s]#', DUYET_URL ) ) {
	add_action(
		'admin_notices',
		function () {
			if ( current_user_can( 'manage_options' ) ) {
				echo '<div class="notice notice-error"><p>Duyet: define DUYET_URL in wp-config.php,',
					' such as https://moderation.example. Until then comments go to Akismet.</p></div>';
			}
		}
	);
	return;
}

/**
 * Makes a call to Akismet one to Duyet. Older versions of the plugin say their key in the host name.
 */
add_filter(
	'pre_http_request',
	function ( $answer, $arguments, $url ) {
		$found = preg_match( '#^https?://(?:([0-9a-f]{12})\.)?rest\.akismet\.com(/.*)$#i', $url, $parts );
		if ( false !== $answer || ! $found ) {
			return $answer;
		}
		unset( $arguments['headers']['Host'], $arguments['headers']['host'] );
		if ( '' !== $parts[1] ) {
			$body = isset( $arguments['body'] ) ? $arguments['body'] : '';
			$body = is_array( $body ) ? http_build_query( $body, '', '&' ) : (string) $body;
			if ( ! preg_match( '/(?:^|&)api_key=/', $body ) ) {
				$body = ltrim( $body . '&api_key=' . rawurlencode( $parts[1] ), '&' );
			}
			$arguments['body'] = $body;
		}
		return wp_remote_request( rtrim( DUYET_URL, '/' ) . $parts[2], $arguments );
	},
	10,
	3
);
